# Nobody reads standard output any more, as after `| head -1`: no message, the exit code of SIGPIPE.
python3 - <<'PY'
import os, subprocess
tiny = os.environ["TINY"]
for args in (["inspect", tiny], ["devices"], ["run", "-m", tiny, "-p", "hello", "-n", "8", "--ignore-eos"]):
    reader, writer = os.pipe()
    os.close(reader)
    p = subprocess.run([os.environ["Q35RT"], *args], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    print(args[0], p.returncode, p.stderr)
PY
