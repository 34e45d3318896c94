# A benchmark says so when its control group may use less time than its threads. The limit is one of a made-up /sys.
grep -q '^0::/' /proc/self/cgroup || { echo "skipped: no control groups of version 2"; exit 77; }
export Q35RT_SYSFS=$PWD/sys
mkdir -p sys/fs/cgroup
"$Q35RT" bench -m "$TINY" -p 0 -n 2 -r 1 -t 2 2>&1 >out | grep -q "take turns" && { echo "skipped: needs 2 cores"; exit 77; }
try() { # <cpu.max> <option>...
    echo "-- $*"
    echo "$1" >sys/fs/cgroup/cpu.max
    "$Q35RT" bench -m "$TINY" -p 0 -n 2 -r 1 -o csv "${@:2}" 2>&1 >out
}
try "100000 100000" -t 2
try "50000 100000" -t 2
try "100001 100000" -t 2
try "max 100000" -t 2
try "100000 100000" -t 2 -q
try "100000 100000" -t 1
echo "-- as many threads as the limit"
try "100000 100000"
python3 -c 'import csv; print([row["n_threads"] for row in csv.DictReader(open("out"))])'
