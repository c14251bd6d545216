// Firstrequest measures how many milliseconds pass from the start of the action's program to its first request, and how
// much memory the program uses. It prints the median and the best of some runs, and fails when the best is above the limit.
//
//	go run ./.ci/firstrequest PROGRAM
//
// The program sends its request to a listener on loopback, which refuses every token.
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

const (
	runs  = 9
	limit = 50 * time.Millisecond
)

func main() {
	arrived := make(chan time.Time, 100)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- time.Now()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized) // ends the run at once
		fmt.Fprint(w, `{"error":{"code":"unauthorized","message":"unable to authenticate"}}`)
	}))
	defer api.Close()

	var took []time.Duration
	var memory int64 // KiB
	for range runs {
		program := exec.Command(os.Args[1])
		program.Env = []string{"HSNAP_SERVERS=db-1", "HCLOUD_TOKEN=first-request", "HCLOUD_ENDPOINT=" + api.URL + "/v1"}
		start := time.Now()
		if err := program.Run(); program.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "firstrequest:", err)
			os.Exit(1)
		}
		if usage, ok := program.ProcessState.SysUsage().(*syscall.Rusage); ok {
			memory = max(memory, usage.Maxrss)
		}
		select {
		case at := <-arrived:
			took = append(took, at.Sub(start))
		default:
			fmt.Fprintln(os.Stderr, "firstrequest: the program ended without a request")
			os.Exit(1)
		}
		for len(arrived) > 0 {
			<-arrived
		}
	}
	slices.Sort(took)
	fmt.Printf("first request after %d ms (median of %d; best %d ms), at most %.1f MB resident\n",
		took[runs/2].Milliseconds(), runs, took[0].Milliseconds(), float64(memory)/1024)
	if took[0] > limit {
		fmt.Fprintf(os.Stderr, "firstrequest: above the limit of %s\n", limit)
		os.Exit(1)
	}
}
