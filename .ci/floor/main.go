// Floor is a minimal Go program with an HTTPS client, which sends one request. The action's size, start-up time and memory
// are compared with it.
package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	answer, err := http.Get(os.Getenv("HCLOUD_ENDPOINT") + "/servers")
	if err != nil {
		os.Exit(1)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
}
