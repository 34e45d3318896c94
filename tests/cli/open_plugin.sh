# A plugin that others may change is not loaded.
head -c 5000 /dev/zero >open.so
chmod 666 open.so
"$Q35RT" devices --plugin ./open.so
