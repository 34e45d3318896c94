echo "too short" >text
"$Q35RT" convert "$TINY" out.gguf --calibration text -q
code=$?
ls
exit $code
