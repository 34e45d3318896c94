# Each is refused with what was found and what is needed, exit code 2.
for arguments in "--temp hot" "--temp=200" "-n 1.5" "-n" "--act int4" "--raw=1" "-t 99999" "-c -1" "--top-p 1.5" \
    "-Z" "--seed -1" "extra" "-p a -f b -m c" "-p a" "--ids 1,x -m $TINY" "--ids 99999999 -m $TINY" "--ids , -m $TINY"; do
    # shellcheck disable=SC2086 # split on purpose
    "$Q35RT" run $arguments
    echo "$? for ${arguments%% -m *}"
done 2>&1
