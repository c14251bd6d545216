package hcloudsim

import (
	"cmp"
	"net/http"
	"strconv"
)

// maxUserData is how many bytes of user data the API accepts.
const maxUserData = 32 << 10

func (c *call) rebuild() reply {
	s := c.p.servers[c.id]
	if s == nil {
		return notFound("server", c.id)
	}
	b, refusal := c.payload("image", "user_data")
	if refusal != nil {
		return *refusal
	}
	if data := b.text("user_data"); data != nil && len(*data) > maxUserData {
		b.errs.add("user_data", "is too long")
	}
	idOrName := b.idOrName("image")
	if b.errs != nil {
		return invalid(b.errs)
	}
	img := c.p.imageFor(s.architecture(), idOrName)
	switch {
	case img == nil:
		return refuse(http.StatusNotFound, "not_found", "image not found")
	case img.Architecture != s.architecture():
		return refuse(http.StatusUnprocessableEntity, "invalid_input", "image architecture is not compatible with server type")
	case img.DiskGB > s.PrimaryDiskGB:
		return refuse(http.StatusUnprocessableEntity, "invalid_input", "image disk is bigger than server disk")
	case s.Protected:
		return refuse(http.StatusLocked, "protected", "server rebuild is protected")
	}
	if _, refusal := c.unlockedServer(); refusal != nil {
		return *refusal
	}
	content := map[string]any{"action": c.p.rebuild(s, img).show(c.p.now), "root_password": nil}
	if s.RootPassword != "" {
		content["root_password"] = s.RootPassword
	}
	return answer(http.StatusCreated, content)
}

// imageFor returns the image of that ID or, among the system images for the
// architecture, of that name; nil where there is none that can be used.
func (p *project) imageFor(architecture, idOrName string) *image {
	for _, img := range append(p.sortedImages(), systemImage(architecture)) {
		named := img.Type == "system" && img.Name == idOrName && img.Architecture == architecture
		if !named && idOrName != strconv.FormatInt(img.ID, 10) {
			continue
		}
		if img.Status == "available" && !img.withdrawn(p.now) {
			return img
		}
	}
	return nil
}

// rebuild begins a rebuild that the API has accepted. Nothing stops it: the
// disk is half written until it ends.
func (p *project) rebuild(s *server, img *image) *action {
	b := s.Rebuild
	s.commands = append(s.commands, "rebuild_server")
	s.rebuilds = append(s.rebuilds, img.ID)
	fails := b.FailCode != "" && (b.FailTimes == 0 || len(s.rebuilds) <= b.FailTimes)
	length := b.Duration
	if fails {
		length = cmp.Or(b.FailAfter, b.Duration)
	}

	s.power++
	s.Status = "rebuilding"
	s.diskImage = 0
	a := p.start(p.newActionID(), "rebuild_server", "server", s.ID, b.Duration)
	a.shape = b.Progress
	if b.LockFor >= 0 {
		p.holdFor(s, cmp.Or(b.LockFor, length))
	}
	p.after(length, func() {
		s.Status = "off"
		if fails {
			p.end(a, b.FailCode, b.FailMessage)
			return
		}
		s.image, s.diskImage = img, img.ID
		p.end(a, "", "")
		switch {
		case b.OffFor == 0:
			p.setRunning(s)
		case b.OffFor > 0:
			p.unlessPowered(s, b.OffFor, func() { p.setRunning(s) })
		}
	})
	return a
}
