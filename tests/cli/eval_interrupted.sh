# Ctrl-C while a base is saved: exit code 130, one sentence, and neither the file nor a part of it.
"$MAKE_TINY" big.gguf --layers 8 --hidden 512 --heads 8 --head-dim 64 --ffn 2048 || exit
for i in $(seq 4000); do echo "line $i of a text that is scored"; done >text
python3 - <<'PY'
import os, signal, subprocess, time
SENTENCE = "q35rt: eval: interrupted, no result\n"
for delay in (0.1, 0.4, 0.8):
    p = subprocess.Popen([os.environ["Q35RT"], "eval", "-m", "big.gguf", "-f", "text", "--save-base", "base", "-q"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(delay)
    p.send_signal(signal.SIGINT)
    said = p.communicate()[1]
    done = os.path.exists("base")  # finished before the signal came: then it is whole
    stopped = (p.returncode, said) in ((130, SENTENCE), (-2, ""))  # -2: before the program could ask for it
    left = sorted(os.listdir())
    print("ok" if (p.returncode == 0 and done or stopped and not done) and left == ["base"] * done + ["big.gguf", "text"]
          else (p.returncode, said, left))
    if done:
        os.remove("base")
PY
