package main

const (
	copied  = "internal/verify/copy.go"
	planned = "internal/verify/plan.go"
	shut    = "internal/verify/firewall.go"
	removed = "internal/copies/copies.go"
)

// verifyFaults break the promises of the command verify.
func verifyFaults() []fault {
	return []fault{
		// What a copy is, and when it may run.
		{
			"a copy is switched on before its firewall is applied", copied,
			"host.Firewalls[v.firewall.id] && ", "",
		},
		{
			"a copy is switched on in a private network", copied,
			"host.Networks == 0 && ", "",
		},
		{
			"a copy is switched on with a label of somebody else", copied,
			"len(host.Labels) == 2 && ", "",
		},
		{
			"a copy starts as soon as it is created", "internal/hetzner/copies.go",
			"StartAfterCreate: new(false),\n", "StartAfterCreate: new(true),\n",
		},
		{
			"a copy gets an IPv4 that nothing connects to", copied,
			"		IPv6: v.Proof.Port == 0,\n", "",
		},
		{
			"the firewall lets everything out", shut,
			"{{Direction: \"out\", Protocol: \"tcp\", Port: new(\"9\"), DestinationIPs: []string{\"192.0.2.1/32\"}}}", "{}",
		},
		{
			"a firewall that somebody has changed will do", shut,
			"!sameRules(found.Rules, wanted.Rules)", "len(found.Rules) == 0",
		},
		{
			"a lost copy is asked for again by another name", copied,
			"		case failure.Verdict == hetzner.Lost, failure.Code == hetzner.CodeUniqueness:\n",
			"		case failure.Verdict == hetzner.Lost, failure.Code == hetzner.CodeUniqueness:\n			v.copy.Name = copies.Name(10*v.result.Image.ID + int64(n))\n",
		},
		{
			"a copy is given to other runs before its latest end", copied,
			"v.until.Add(keptFor)", "v.until.Add(-v.BootTimeout)",
		},
		// What is verified, and what it may cost.
		{
			"max-cost is ignored", "internal/verify/run.go",
			"r.outcome.PlannedCost > r.MaxCost &&", "r.outcome.PlannedCost > 3*r.MaxCost &&",
		},
		{
			"a begun hour is not counted", planned,
			"math.Ceil(span.Hours())", "math.Floor(span.Hours())",
		},
		{
			"the address costs nothing", planned,
			"v.copy.Name, hour+address\n", "v.copy.Name, hour+0*address\n",
		},
		{
			"at-most is ignored", planned,
			"i >= r.AtMost {", "i > r.AtMost {",
		},
		{
			"what was verified last is verified first", planned,
			"a.proved.Compare(b.proved)", "b.proved.Compare(a.proved)",
		},
		{
			"verified-within is ignored", planned,
			"r.date.Sub(v.proved) < r.VerifiedWithin:", "r.date.Sub(v.proved) < r.VerifiedWithin/2:",
		},
		{
			"a snapshot that failed its verification is the latest", planned,
			"	if named {\n", "	if named && len(images) == 0 {\n",
		},
		{
			"a dry run makes copies", "internal/verify/run.go",
			"v.result.Status == \"\" && r.DryRun {", "v.result.Status == \"\" && r.DryRun && r.AtMost > 0 {",
		},
		{
			"there are more copies at once than allowed", copied,
			"		if !v.begun { // else the place is the copy's, until that is removed\n", "		if true {\n",
		},
		// What comes of it.
		{
			"a copy that was not isolated counts against its snapshot", copied,
			"	case errors.Is(err, fleet.ErrTimeout):\n		return Inconclusive.Because(NotIsolated)\n", "	case errors.Is(err, fleet.ErrTimeout):\n		return snapshot.Failed.Because(NotIsolated)\n",
		},
		{
			"a copy that Hetzner did not switch on counts against its snapshot", "internal/verify/boot.go",
			"	case !running && v.startLost != nil: // nothing says that Hetzner has got the request\n		return v.inconclusive(snapshot.Refused, v.startLost)\n", "",
		},
		{
			"a copy that somebody has deleted counts against its snapshot", "internal/verify/boot.go",
			"		return Inconclusive.Because(snapshot.UnknownOutcome)\n	case !running && v.startLost", "		return snapshot.Failed.Because(NotProven)\n	case !running && v.startLost",
		},
		{
			"boot-timeout counts before the copy is switched on", "internal/verify/boot.go",
			"	v.started, v.startLost = v.Sent, failure\n", "	v.started, v.startLost = limit.Add(-startedWithin), failure\n",
		},
		{
			"the labels of others are dropped from a verified snapshot", "internal/labels/labels.go",
			"	maps.Copy(set, old)\n", "",
		},
		{
			"a snapshot that fails stays verified", "internal/labels/labels.go",
			"key == Verified || key == VerifiedBy || key == Verify }", "key == Verify }",
		},
		{
			"a result that is written is told as cancelled", "internal/verify/mark.go",
			"	if taken {\n		return nil\n	}\n", "	_ = taken\n",
		},
		{
			"what nobody could find out passes", "internal/report/verify.go",
			"t.Inconclusive > 0 && !warnOnly\n", "t.Inconclusive > 1 && !warnOnly\n",
		},
		// What is left behind.
		{
			"a server is deleted by its name alone", removed,
			"host.Name == c.Name && c.Request != \"\" && host.Labels[labels.Drill] == c.Request\n", "host.Name == c.Name\n",
		},
		{
			"a server is deleted by its label alone", removed,
			"host.Labels[labels.Drill] != \"\" && IsName(host.Name)\n", "host.Labels[labels.Drill] != \"\"\n",
		},
		{
			"a copy that another run works with is deleted", removed,
			"!until.IsZero() && !now.Before(until)\n", "!until.IsZero() && now.Before(until)\n",
		},
		{
			"copies of earlier runs stay", "internal/verify/run.go",
			"	if !r.DryRun {\n		r.Sweep(", "	if !r.DryRun && r.AtMost == 0 {\n		r.Sweep(",
		},
		{
			"a cancel deletes nothing", copied,
			"	if v.copy.Appears.IsZero() && v.accepted.IsZero() {", "	if s.Cancelled() {",
		},
		{
			"copies are made and deleted in silence", "internal/snapshot/session.go",
			"	for errors.Is(script.Until(script.Alone, s.lastNews.Add(progressEvery)), fleet.ErrTimeout) {\n",
			"	for len(s.standings()) == 0 && errors.Is(script.Until(script.Alone, s.lastNews.Add(progressEvery)), fleet.ErrTimeout) {\n",
		},
		{
			"copies are polled one by one", "internal/copies/copies.go",
			"	if c.Request == \"\" {", "	if true {",
		},
		{
			"on a cancel each address takes a poll", "internal/copies/copies.go",
			"		if assigned = false; !r.Cancelled() {", "		if assigned = false; true {",
		},
		{
			"a poll of copies that hangs outlasts a cancel", "internal/fleet/fleet.go",
			"return l.kind == labelled }", "return l.kind == labelled && f.signal == nil }",
		},
		{
			"the post step deletes nothing", "internal/verify/run.go",
			"Outcome, left, ", "Outcome, nil, ",
		},
		{
			"the post step knows nothing of a copy before it is accepted", copied,
			"	v.begun, v.creating, v.removing = true, true, true\n", "	v.creating, v.removing = true, true\n	defer func() { v.begun = true }()\n",
		},
		{
			"a lost copy is not waited for", removed,
			"	case missing && mayAppear:\n", "	case missing && mayAppear && r.ID != 0:\n",
		},
		{
			"the addresses of copies are forgotten", removed,
			"		left, assigned := r.removeAddresses()\n", "		left, assigned := (*Left)(nil), false\n",
		},
		{
			"a copy that is left is not told", "internal/report/verify.go",
			"		if v.Left != nil {\n			t.Left = append(t.Left, v.Copy)\n", "		if v.Left != nil && !v.Left.Changed {\n			t.Left = append(t.Left, v.Copy)\n",
		},
	}
}
