package hcloudsim

import "time"

// shutdown sends the guest the ACPI signal. The action ends with the signal;
// what the guest makes of it shows in the server's status only.
func (p *project) shutdown(s *server) *action {
	s.commands = append(s.commands, "shutdown_server")
	a := p.start(p.newActionID(), "shutdown_server", "server", s.ID, 0)
	p.end(a, "", "")
	if s.Status == "running" && s.Power.ShutdownAfter >= 0 {
		p.unlessPowered(s, s.Power.ShutdownAfter, func() { p.setOff(s) })
	}
	return a
}

// setOff records that a server is now off.
func (p *project) setOff(s *server) {
	s.Status = "off"
	if s.Power.LockAfter > 0 {
		p.holdFor(s, s.Power.LockAfter)
	}
}

// switchTo changes the power at once; what was under way comes to nothing.
func (p *project) switchTo(id int64, status string) {
	s := p.servers[id]
	if s == nil {
		return
	}
	s.power++
	if status == "running" {
		s.noteStart(p.now)
		p.setRunning(s)
	} else {
		s.Status = status
	}
}

// setRunning records that a server now runs. Its guest begins to boot, where
// it didn't run before.
func (p *project) setRunning(s *server) {
	if s.Status != "running" {
		s.booted = p.now
	}
	s.Status = "running"
}

func (p *project) powerOff(s *server) *action {
	a := p.command(s, "stop_server", s.Power.PowerOffAfter)
	p.operate(s, a, "off", "stopping", s.Power.PowerOffAfter, func() (code, message string) {
		p.setOff(s)
		return "", ""
	})
	return a
}

func (p *project) powerOn(s *server) *action {
	a := p.command(s, "start_server", s.Power.PowerOnAfter)
	p.switchOn(s, a)
	return a
}

// switchOn is what a power-on does, by the action that was made for it.
func (p *project) switchOn(s *server, a *action) {
	s.noteStart(p.now)
	p.operate(s, a, "running", "starting", s.Power.PowerOnAfter, func() (code, message string) {
		s.powerOnsTried++
		if s.Power.PowerOnFails < 0 || s.powerOnsTried <= s.Power.PowerOnFails {
			s.Status = "off"
			return "server_error", "server could not be started"
		}
		if s.Power.PowerOnEndsIn != "" {
			s.Status = s.Power.PowerOnEndsIn
			return "", ""
		}
		p.setRunning(s)
		return "", ""
	})
}

// command makes the running action of an accepted command.
func (p *project) command(s *server, command string, d time.Duration) *action {
	s.commands = append(s.commands, command)
	return p.start(p.newActionID(), command, "server", s.ID, d)
}

// operate runs an operation that keeps the server locked while its action
// runs and shows the status meanwhile. A server whose status is idle has
// nothing to be done to it, and the action ends at once.
func (p *project) operate(s *server, a *action, idle, meanwhile string, d time.Duration, finish func() (code, message string)) {
	if s.Status == idle {
		p.end(a, "", "")
		return
	}
	s.Status = meanwhile
	p.holdFor(s, d)
	s.power++
	p.unlessPowered(s, d, func() {
		code, message := finish()
		p.end(a, code, message)
	})
}

// unlessPowered applies f d from now unless another operation comes first.
func (p *project) unlessPowered(s *server, d time.Duration, f func()) {
	turn := s.power
	p.after(d, func() {
		if s.power == turn {
			f()
		}
	})
}
