package config

import (
	"strconv"
	"strings"
)

// Proof is what shows that a server works.
type Proof struct {
	Kind ProofKind
	Port int // zero with ProofRunning
}

// ProofKind is a way to prove that a server works.
type ProofKind string

// The proofs.
const (
	ProofRunning ProofKind = "running" // Hetzner shows the server running
	ProofSSH     ProofKind = "ssh"     // the port answers with a line that begins with SSH-
	ProofTCP     ProofKind = "tcp"     // the port accepts a connection
)

const sshPort = 22

// String is the proof as the input has it, without a port that goes without saying.
func (p Proof) String() string {
	if p.Kind == ProofRunning || p == (Proof{ProofSSH, sshPort}) {
		return string(p.Kind)
	}
	return string(p.Kind) + ":" + strconv.Itoa(p.Port)
}

// Label is the proof as the value of a label, which can have no colon: ssh, ssh-2222, tcp-443, running.
func (p Proof) Label() string { return strings.ReplaceAll(p.String(), ":", "-") }

// EnvDecode accepts running, ssh, ssh:PORT and tcp:PORT.
func (p *Proof) EnvDecode(value string) error {
	kind, text, hasPort := strings.Cut(value, ":")
	port, err := strconv.Atoi(text)
	valid := err == nil && 1 <= port && port <= 65535 && strconv.Itoa(port) == text // no plus, no leading zero
	switch kind := ProofKind(kind); {
	case kind == ProofRunning && !hasPort:
		*p = Proof{Kind: kind}
	case kind == ProofSSH && !hasPort:
		*p = Proof{kind, sshPort}
	case (kind == ProofSSH || kind == ProofTCP) && valid:
		*p = Proof{kind, port}
	case kind == ProofTCP && text == "":
		return refuse(value, "has no port: give one, as tcp:443")
	default:
		return refuse(value, "is no proof: accepted are running, ssh, ssh:PORT and tcp:PORT, with a port from 1 to 65535")
	}
	return nil
}
