package action_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	selectedLine = regexp.MustCompile(`(?m)^(?:::group::)?(\d+) servers? selected$`)
	progressLine = regexp.MustCompile(`(?m)^(\d+ [a-z ]+(?:, \d+ [a-z ]+)*); waiting for ([^;\n]+)`)
)

// addsUp holds each line of progress against what is promised of it, and returns how many there are: its numbers add up to
// the servers selected, and it names up to five.
func addsUp(t *testing.T, log string) (lines int) {
	t.Helper()
	selected := selectedLine.FindStringSubmatch(log)
	for _, line := range progressLine.FindAllStringSubmatch(log, -1) {
		lines++
		sum := 0
		for _, number := range regexp.MustCompile(`\d+`).FindAllString(line[1], -1) {
			n, _ := strconv.Atoi(number)
			sum += n
		}
		if named := strings.Count(line[2], ", ") + 1; strconv.Itoa(sum) != selected[1] || named > 6 || named == 6 && !strings.HasSuffix(line[2], ", …") {
			t.Errorf("%s servers selected, and the progress is %q", selected[1], line[0])
		}
	}
	return lines
}

func TestProgressOfAFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := readScenario(t, "testdata/scenarios/fleet/scenario.txt").run(t)
		if n := addsUp(t, r.log); n < 3 {
			t.Errorf("%d lines of progress:\n%s", n, r.log)
		}
	})
}
