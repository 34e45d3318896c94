# Ctrl-C while converting: exit code 130, one sentence and no output, whenever it comes.
"$MAKE_TINY" big.gguf --layers 12 --hidden 512 --heads 8 --head-dim 64 --ffn 2048 || exit
python3 - <<'PY'
import os, signal, subprocess, time
SENTENCE = "q35rt: conversion: cancelled, no file was written\n"
for delay in (0.1, 0.3, 0.6):
    p = subprocess.Popen([os.environ["Q35RT"], "convert", "big.gguf", "out.gguf", "--no-calibration", "-q"],
                         stderr=subprocess.PIPE, text=True)
    time.sleep(delay)
    p.send_signal(signal.SIGINT)
    said = p.communicate()[1]
    code = p.returncode
    done = os.path.exists("out.gguf")  # finished before the signal came: then it is whole
    stopped = (code, said) in ((130, SENTENCE), (-2, ""))  # -2: it came before the program could ask for it
    left = sorted(os.listdir())
    print("ok" if (code == 0 and done or stopped and not done) and left == ["big.gguf"] + ["out.gguf"] * done
          else (code, said, left))
    if done:
        os.remove("out.gguf")
PY
