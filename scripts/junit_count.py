# SPDX-License-Identifier: Apache-2.0
# Counts of a CTest JUnit report: "tests failures skipped" on standard output; every skipped test with its reason on
# standard error.
import sys
import xml.etree.ElementTree as tree

tests = failures = skipped = 0
try:
    cases = list(tree.parse(sys.argv[1]).getroot().iter("testcase"))
except (OSError, tree.ParseError) as error:
    sys.exit(f"test report: {error}")
for case in cases:
    tests += 1
    if case.find("failure") is not None or case.get("status") == "fail":
        failures += 1
    elif case.get("status") != "run":
        skipped += 1
        said = (case.findtext("system-out") or "").strip().splitlines()
        reason = said[-1] if said else case.get("status")
        print(f"skipped {case.get('name')}: {reason}", file=sys.stderr)
print(tests, failures, skipped)
