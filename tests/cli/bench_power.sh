# A power budget on a made-up /sys, whose counter grows with the CPU time that the program really takes.
"$MAKE_TINY" small.gguf --layers 2 --hidden 256 --heads 4 --head-dim 64 --ffn 512 || exit
cat >meter.py <<'PY'
"""meter.py IDLE_WATTS WATTS_PER_CORE COMMAND...: runs it with Q35RT_SYSFS=sys and keeps the counter there up to date."""
import glob, os, subprocess, sys, time
idle, per_core = float(sys.argv[1]), float(sys.argv[2])
zone = "sys/class/powercap/intel-rapl:0"
os.makedirs(zone, exist_ok=True)
def put(name, text):
    with open(f"{zone}/.new", "w") as f:
        f.write(text)
    os.rename(f"{zone}/.new", f"{zone}/{name}")
def cpu_seconds(pid):
    """Seconds on a core, and seconds of waiting for one."""
    total = [0, 0]
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            total = [a + int(b) / 1e9 for a, b in zip(total, open(path).read().split())]
        except OSError:
            pass
    return total
put("name", "package-0\n")
put("max_energy_range_uj", "262143328850\n")
put("energy_uj", "1000\n")
start = time.monotonic()
p = subprocess.Popen(sys.argv[3:], env={**os.environ, "Q35RT_SYSFS": os.path.abspath("sys")}, stdout=open("out", "w"))
cpu = waited = 0.0
while p.poll() is None:
    cpu, waited = map(max, (cpu, waited), cpu_seconds(p.pid))
    put("energy_uj", f"{int(1e6 * (1 + idle * (time.monotonic() - start) + per_core * cpu))}\n")
    time.sleep(0.001)
print(waited / (time.monotonic() - start), file=open("starved", "w"))
sys.exit(p.returncode)
PY
# Far more than the budget even for a small share of a core, so that the program has to pause on any machine.
python3 meter.py 5 400 "$Q35RT" bench -m small.gguf -p 0 -n 100 -r 10 -t 1 -o json -q --power-budget 30W
echo "exit $?"
python3 - <<'PY'
import json
r = json.load(open("out"))[0]
# Within 5 %; below it only where other programs kept the cores from it.
starved = float(open("starved").read()) > 0.02
held = lambda watts, part: abs(watts - 30) <= part * 30 or starved and watts < 30 or watts
print(r["power_source"], r["power_budget_watts"], held(r["power_watts"], 0.05))
print(held(r["joules_per_token"] * r["n_gen"] / (r["avg_ns"] / 1e9), 0.15))  # of the repetitions alone
PY
echo "-- more in pauses than the budget"
python3 meter.py 50 400 "$Q35RT" bench -m small.gguf -p 0 -n 100 -r 10 -t 1 -o json -q --power-budget 30W 2>&1 |
    sed -E 's/[0-9.]+ (W|s)( |,)/N \1\2/g'
echo "exit ${PIPESTATUS[0]}"
echo "-- enough"
python3 meter.py 1 1 "$Q35RT" bench -m small.gguf -p 8 -n 8 -r 1 -t 1 -q --power-budget 30
echo "exit $?"
grep -o -E "J/token|power: .* average|budget 30.0 W, 0 % of the time in pauses \(RAPL: package-0\)" out | sed -E 's/[0-9.]+ W/N W/'
echo "-- nothing to read"
mkdir -p empty/class/hwmon/hwmon0 && echo coretemp >empty/class/hwmon/hwmon0/name
Q35RT_SYSFS=$PWD/empty "$Q35RT" bench -m small.gguf --power-budget 30W -q 2>&1 | sed "s|$PWD/||g"
echo "exit ${PIPESTATUS[0]}"
for watts in 0 30kW -3 x; do
    "$Q35RT" bench -m small.gguf --power-budget=$watts 2>&1
    echo "exit $?"
done
