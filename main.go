// Hsnap-action snapshots Hetzner Cloud servers from a workflow. See internal/action for what it does.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/org/hsnap-action/internal/action"
	"github.com/org/hsnap-action/internal/hetzner"
)

// version is set when a release is built.
var version = "dev"

func main() {
	// net/http reports odd answers to the standard logger and offers no other way. Their text would reach the log
	// unmasked, where it could pass for a workflow command.
	log.SetOutput(io.Discard)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more is no reason to leave servers half done
	os.Exit(action.Process{
		Args: os.Args, Version: version, Env: os.Environ(), Out: os.Stdout, Signals: signals,
		Transport: hetzner.NewTransport(), Dial: new(net.Dialer).DialContext, Rand: rand.Reader,
	}.Main(context.Background()))
}
