package restore

import (
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/proof"
	"github.com/org/hsnap-action/internal/snapshot"
)

// Why says what is wrong with a pair.
type Why int

// What can be wrong with a pair: with the server, with the image, and with the two together.
const (
	NoServer        Why = iota + 1 // of this name; Nearest may be the one that was meant
	SeveralServers                 // of this name
	IsDrill                        // the server is a copy that a verification has made
	IsSelf                         // this program runs on it
	IsProtected                    // against being rebuilt
	BootsElsewhere                 // from its rescue system, or from an ISO
	VolumesAttached                // which the user does not want
	NoAddress                      // that the proof could be sought at

	NoImage      // of this ID
	NoneFound    // no available snapshot of the server in the series
	NoneVerified // of these none is verified
	NotSnapshot  // but an image of another type
	NotAvailable // for now, or any more
	NotMade      // by this program
	NotVerified  // its verification has failed
	TooOld       // older than is allowed: Age, MaxAge
	NoAge        // Hetzner does not tell it

	OtherServer       // the image was made of another one
	OtherArchitecture // the server has another one than the image
	DiskTooSmall      // for the image
)

// Mistake is one thing that is wrong with a pair.
type Mistake struct {
	Why     Why
	Name    string // of the server, as the user wrote it
	Choice  project.Choice
	Nearest string // for NoServer: the server that may have been meant, "" for none
	Server  hetzner.Server
	Image   hetzner.Image
	Age     time.Duration
	MaxAge  time.Duration
}

// fromFuture is how far Hetzner's clocks may be apart: an image that is made later than that has no age.
const fromFuture = time.Minute

// pair is a server and the image that it is to be put back to.
type pair struct {
	*run
	name     string
	choice   project.Choice
	host     hetzner.Server
	image    hetzner.Image
	age      time.Duration
	date     time.Time // of the list of images, by Hetzner's clock; zero where it did not say
	self     int64     // the server that this program runs on, 0 for none
	mistakes []Mistake
}

func (p *pair) refuse(why Why) {
	p.mistakes = append(p.mistakes, Mistake{Why: why, Name: p.name, Choice: p.choice, Server: p.host, Image: p.image, Age: p.age, MaxAge: p.MaxAge})
}

// findServer finds the server among those of its name.
func (p *pair) findServer(named, all []hetzner.Server) {
	switch len(named) {
	case 0:
		p.refuse(NoServer)
		p.mistakes[0].Nearest = project.Selection{}.Choose(all).Nearest(p.name)
	case 1:
		p.host = named[0]
	default: // Hetzner's names are unique; if that ever changes, nothing is guessed here
		p.refuse(SeveralServers)
	}
}

// findImage finds the image among those that are labelled as the server's.
func (p *pair) findImage(images []hetzner.Image) {
	if p.choice.Image != 0 {
		for _, image := range images {
			if image.ID == p.choice.Image {
				p.image = image
			}
		}
		return
	}
	usable := labels.Usable(images, p.host.ID, p.Series)
	p.image = p.choice.Latest(usable)
	switch {
	case p.image.ID != 0, p.host.ID == 0:
	case p.choice.OnlyIfVerified && len(usable) > 0:
		p.refuse(NoneVerified)
	default:
		p.refuse(NoneFound)
	}
}

// isUnknown reports whether the image is none of those that are labelled as the server's.
func (p *pair) isUnknown() bool { return p.choice.Image != 0 && p.image.ID == 0 && p.host.ID != 0 }

// check finds everything that speaks against the pair. Of a server that does not exist there is nothing to say.
func (p *pair) check() {
	switch {
	case p.host.ID == 0:
		return
	case p.image.ID != 0:
		p.checkImage()
	case p.choice.Image != 0:
		p.refuse(NoImage)
	}
	p.checkServer()
}

func (p *pair) checkServer() {
	p.refuseWhere([]objection{
		{project.IsDrill(p.host), IsDrill},
		{p.host.ID == p.self, IsSelf},
		{p.host.RebuildProtected, IsProtected},
		{p.host.BootsElsewhere(), BootsElsewhere},
		{len(p.host.Volumes) > 0 && p.IfVolumes == snapshot.Fail, VolumesAttached},
		{p.Proof.Port != 0 && proof.Address(p.host) == "", NoAddress},
	})
}

// checkImage checks the image, and whether it is the server's. Of one that is not there is no more to say.
func (p *pair) checkImage() {
	server, image := p.host, p.image
	p.age = p.date.Sub(image.Created)
	switch {
	case image.Type != "snapshot":
		p.refuse(NotSnapshot)
		return
	case !labels.Made(image, image.CreatedFrom, image.Labels[labels.Series]):
		p.refuse(NotMade)
		return
	case image.CreatedFrom != server.ID:
		p.refuse(OtherServer)
		return
	}
	noAge := p.date.IsZero() || image.Created.IsZero() || p.age < -fromFuture
	p.age = max(0, p.age)
	p.refuseWhere([]objection{
		{!image.Available(), NotAvailable},
		{labels.FailedVerification(image), NotVerified},
		{noAge, NoAge},
		{!noAge && p.age > p.MaxAge, TooOld},
		{image.Architecture != server.Architecture, OtherArchitecture},
		{image.DiskGB > float64(server.DiskGB), DiskTooSmall},
	})
}

// objection is something that may speak against a pair.
type objection struct {
	holds bool
	why   Why
}

func (p *pair) refuseWhere(objections []objection) {
	for _, o := range objections {
		if o.holds {
			p.refuse(o.why)
		}
	}
}
