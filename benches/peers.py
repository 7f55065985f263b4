"""Runs commands in turns and prints what they took: lines of WORK TAB TOOL TAB ARGUMENT TAB ... from standard input.

Wall and processor time are of the whole process with its children (wait4), medians in milliseconds. Round 0 warms up;
its times do not count, and memory is measured there, by GNU time where that is installed: a process that this one
starts would count this one's own. "{}" in an argument is the number of the round; a command that begins with `once` has
one round, and what revokes has three and none to warm up with.
"""

import os
import statistics
import subprocess
import sys
import time


TIME = "/usr/bin/time"


def run(command, number):
    """One process: wall seconds, processor seconds."""
    argv = [part.replace("{}", str(number)) for part in command]
    begun = time.perf_counter()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with child.stdout as pipe:
        pipe.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begun
    child.returncode = status
    if status:
        print(f"failed, and left out: {' '.join(argv)}", file=sys.stderr)
        return None
    return wall, usage.ru_utime + usage.ru_stime


def peak(command, number):
    """The largest resident set of one process or one of its children, MiB; none where it cannot be told."""
    argv = [TIME, "-f", "%M", "-o", "/dev/stderr"] + [part.replace("{}", str(number)) for part in command]
    if not os.path.exists(TIME):
        return None
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True)
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return int(last[0]) / 1024 if done.returncode == 0 and last and last[0].isdigit() else None


def main():
    rounds = int(sys.argv[1])
    items = []
    for line in sys.stdin:
        work, tool, *command = line.rstrip("\n").rstrip("\t").split("\t")
        once = command[0] == "once"
        people = work.startswith("revoke")
        most = 1 if once else 3 if people else rounds
        items.append({"work": work, "tool": tool, "command": command[once:], "most": most, "took": [], "peak": None})
    print(f"load before: {os.getloadavg()[0]:.1f}", file=sys.stderr)
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr)
        # Each round begins elsewhere: what runs right after something long finds colder caches.
        turn = number * len(items) // (rounds + 1)
        for item in items[turn:] + items[:turn]:
            # What takes something away has no round to warm up with.
            warms_up = number == 0 and not item["work"].startswith("revoke")
            if warms_up:
                item["peak"] = peak(item["command"], number)
            elif 1 <= number <= item["most"]:
                took = run(item["command"], number)
                if took is None:
                    item["most"] = 0
                else:
                    item["took"].append(took)
    items = [item for item in items if item["took"]]
    print("| work | tool | wall ms | CPU ms | memory MiB | as long as mandatum |\n|---|---|---|---|---|---|")
    for work in dict.fromkeys(item["work"] for item in items):
        group = [item for item in items if item["work"] == work]
        median = lambda item, part: statistics.median(took[part] for took in item["took"])
        own = next((median(item, 0) for item in group if item["tool"] == "mandatum"), None)
        for item in sorted(group, key=lambda item: item["tool"] != "mandatum"):
            wall = median(item, 0)
            ratio = "" if item["tool"] == "mandatum" or own is None else f"{wall / own:.1f} ×"
            memory = "" if item["peak"] is None else f"{item['peak']:.0f}"
            cells = [work, item["tool"], f"{wall * 1e3:.1f}", f"{median(item, 1) * 1e3:.1f}", memory, ratio]
            print("| " + " | ".join(cells) + " |")
    print(f"load after: {os.getloadavg()[0]:.1f}", file=sys.stderr)


main()
