# Ctrl-C: what was measured is printed, exit code 130.
"$MAKE_TINY" big.gguf --layers 8 --hidden 512 --heads 8 --head-dim 64 --ffn 2048 || exit
python3 - <<'PY'
import csv, io, os, signal, subprocess, time
p = subprocess.Popen([os.environ["Q35RT"], "bench", "-m", "big.gguf", "-p", "0", "-n", "2,64", "-r", "10000", "-t", "1", "-o", "csv"],
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
while "tg" not in p.stderr.readline():  # the first repetitions are done
    pass
p.send_signal(signal.SIGINT)
out, _ = p.communicate()
rows = list(csv.DictReader(io.StringIO(out)))
print(p.returncode, len(rows), rows[0]["n_gen"], 0 < int(rows[0]["n_samples"]) < 10000)
PY
