"$Q35RT" >out
code=$?
grep -c usage: out
exit $code
