package main

const (
	way   = "internal/restore/server.go"
	check = "internal/restore/pairs.go"
	meant = "internal/project/choice.go"
)

// restoreFaults break the promises of the command restore.
func restoreFaults() []fault {
	return []fault{
		{
			"a lost rebuild is sent again blindly", way,
			"		return s.find(hetzner.AsError(err), newest)\n", "		_ = newest\n		return snapshot.ErrAgain\n",
		},
		{
			"an older rebuild is taken for one whose answer was lost", way,
			"a.Command == hetzner.CommandRebuild && a.ID > newest", "a.Command == hetzner.CommandRebuild && a.ID >= newest",
		},
		{
			"the newest action is not noted before a rebuild", way,
			"		newest = max(newest, action.ID)\n", "		newest = max(newest, action.ID-action.ID)\n",
		},
		{
			"another action is taken for the rebuild", way,
			"a.Command == hetzner.CommandRebuild && a.ID > newest", "a.ID > newest",
		},
		{
			"a wrong pair does not stop the others", "internal/restore/run.go",
			"	if len(r.outcome.Refused) > 0 {\n		return\n	}\n", "	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return len(p.mistakes) > 0 })\n",
		},
		{
			"a server is rebuilt though its snapshot of before has failed", way,
			"	return snapshot.Failed.Because(SnapshotFirstFailed)\n", "	return nil\n",
		},
		{
			"a server is put back to an image of another one", check,
			"	case image.CreatedFrom != server.ID:\n", "	case image.CreatedFrom == 0:\n",
		},
		{
			"a server is put back to an image that somebody else has made", check,
			"	case !labels.Made(image, image.CreatedFrom, image.Labels[labels.Series]):\n", "	case image.Labels[labels.Series] == \"\" && image.CreatedFrom == 0:\n",
		},
		{
			"max-age is ignored", check,
			"		{!noAge && p.age > p.MaxAge, TooOld},\n", "",
		},
		{
			"an image's age is counted by this machine's clock", "internal/restore/run.go",
			"		p := pair{run: r, ", "		date = read.Script.Now()\n		p := pair{run: r, ",
		},
		{
			"latest may have failed its verification", meant,
			"		return labels.FailedVerification(image) || c.", "		return c.",
		},
		{
			"latest is the oldest", meant,
			"		if image.NewerThan(newest) {\n", "		if newest.ID == 0 || newest.NewerThan(image) {\n",
		},
		{
			"latest-verified is any", meant,
			"c.OnlyIfVerified && !verified\n", "c.OnlyIfVerified && false && !verified\n",
		},
		{
			"a server is rebuilt that is protected against it", check,
			"		{p.host.RebuildProtected, IsProtected},\n", "",
		},
		{
			"a server is put back to an image that is too large for it", check,
			"		{image.DiskGB > float64(server.DiskGB), DiskTooSmall},\n", "",
		},
		{
			"the server that this runs on is rebuilt", check,
			"		{p.host.ID == p.self, IsSelf},\n", "",
		},
		{
			"volumes that must not be there do not matter", check,
			"len(p.host.Volumes) > 0 && p.IfVolumes == snapshot.Fail", "len(p.host.Volumes) > 99 && p.IfVolumes == snapshot.Fail",
		},
		{
			"a cancelled run begins one more change", engine + "script.go",
			"	if err == nil {\n		err = s.Barred()\n	}\n	if err != nil {\n		return err\n	}\n	if s.Cancelled() {",
			"	if err != nil && !errors.Is(err, ErrCancelled) {\n		return err\n	}\n	s.patient = true\n	if s.Cancelled() {",
		},
		{
			"a dry run rebuilds", way,
			"	if s.DryRun {\n", "	if s.DryRun && s.SnapshotFirst {\n",
		},
		{
			"a rebuild counts before the server shows it", way,
			"	return s.timedOut(s.awaitRunning(limit))\n", "	return nil\n",
		},
		{
			"a rebuild counts though its action has failed", way,
			"	if !action.Succeeded() {\n", "	if !action.Succeeded() && action.ErrorMessage == \"\" {\n",
		},
		{
			"a rebuild that fails for a lock is asked for again", way,
			"		s.target.Result.Action = action\n		return snapshot.Failed.Because(snapshot.ActionFailed)\n",
			"		if hetzner.IsLocked(action.ErrorCode, action.ErrorMessage) {\n			_ = s.target.Repeat(s.rebuild, s.full)\n		}\n		s.target.Result.Action = action\n		return snapshot.Failed.Because(snapshot.ActionFailed)\n",
		},
		{
			"a server that stays off after its rebuild is left so", way,
			"	offFor = 15 * time.Second\n", "	offFor = 15 * time.Hour\n",
		},
		{
			"a server is switched on at once after its rebuild", way,
			"	offFor = 15 * time.Second\n", "	offFor = 0\n",
		},
		{
			"nothing has to be proved", way,
			"	if s.Proof.Port == 0 {\n", "	if s.Proof.Port >= 0 {\n",
		},
		{
			"whatever a port says is a proof", "internal/proof/proof.go",
			"strings.HasPrefix(line, \"SSH-\") {", "line != \"\" {",
		},
		{
			"a new root password is shown in the debug log", "internal/hetzner/exchange.go",
			"	a.exchange.Err = err\n",
			"	if strings.HasSuffix(path, \"/rebuild\") && err == nil {\n		text, _ := io.ReadAll(resp.Body)\n		a.exchange.Path += string(text)\n	}\n	a.exchange.Err = err\n",
		},
	}
}
