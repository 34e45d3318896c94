# Ctrl-C while making a random model: exit code 130 and nothing left, whenever it comes.
python3 - <<'PY'
import os, shutil, signal, subprocess, time
SENTENCE = "q35rt: random model: cancelled, nothing was written\n"
for layout in ("gguf", "hf"):
    for delay in (0.05, 0.2, 0.5):
        p = subprocess.Popen([os.environ["Q35RT"], "generate-model", "llama3-8b", "out", "--layers", "3", "--layout",
                              layout, "--vocab", "1000", "-q"], stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        p.send_signal(signal.SIGINT)
        said = p.communicate()[1]
        done = os.path.exists("out")  # finished before the signal came
        stopped = (p.returncode, said) in ((130, SENTENCE), (-2, ""))
        left = os.listdir()
        print("ok" if (p.returncode == 0 and done or stopped and not done) and left == ["out"] * done
              else (p.returncode, said, left))
        if done:
            os.remove("out") if layout == "gguf" else shutil.rmtree("out")
PY
