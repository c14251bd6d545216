package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Images says which image is meant for each server, by the server's name.
type Images map[string]ImageChoice

// ImageChoice is an image by its ID, or else which one of the server's snapshots it is.
type ImageChoice struct {
	ID     int64  // zero where Newest is given
	Newest Newest // "" where ID is given
}

// Newest says which of a server's snapshots in a series the newest is taken of.
type Newest string

// The snapshots of which the newest is taken.
const (
	Latest         Newest = "latest"          // whatever is available and did not fail its verification
	LatestVerified Newest = "latest-verified" // whatever is available and passed its verification
)

// String is the choice as the input has it.
func (c ImageChoice) String() string {
	if c.Newest != "" {
		return string(c.Newest)
	}
	return strconv.FormatInt(c.ID, 10)
}

// imageRule says which images are accepted, in the words of the mistakes.
const imageRule = "accepted are an image's ID, latest and latest-verified"

// EnvDecode accepts name=image pairs separated by commas or newlines, or a JSON object whose values are numbers or
// strings. A server's disk may be overwritten for what stands here, so nothing is guessed: the server is a name, even if it
// has digits only, and an ID is written as Hetzner writes it.
func (i *Images) EnvDecode(value string) error {
	read := textImages
	if strings.HasPrefix(value, "{") {
		read = jsonImages
	}
	pairs, wrong := read(value)
	if len(pairs) == 0 && wrong == nil {
		wrong.add(value, "names no server: name each with its image, as db-1=123 or db-1=latest")
	}
	images := Images{}
	for _, pair := range pairs {
		if problem := checkName(pair.server); problem != "" {
			wrong.add(pair.server, problem)
		}
		if _, twice := images[pair.server]; twice {
			wrong.add(pair.server, "is given twice: a server can have one image here")
		}
		choice, ok := chooseImage(pair.image)
		if !ok {
			wrong.add(pair.image, pair.noImage())
		}
		images[pair.server] = choice
	}
	*i = images
	return wrong.err()
}

// newest returns the first choice, by the names of the servers, that is no ID: "" if there is none.
func (i Images) newest() Newest {
	for _, server := range slices.Sorted(maps.Keys(i)) {
		if newest := i[server].Newest; newest != "" {
			return newest
		}
	}
	return ""
}

// imagePair is a server and its image as the user wrote them.
type imagePair struct{ server, image string }

// noImage returns what is wrong with a pair whose image is none.
func (p imagePair) noImage() string {
	problem := fmt.Sprintf("is no image for %.60q: %s", p.server, imageRule)
	near, alike := nearest(p.image, []string{string(Latest), string(LatestVerified)})
	switch {
	case p.image == "":
		return problem + " (is it an output that is empty?)"
	case strings.ContainsFunc(p.image, unicode.IsSpace):
		return problem + " (pairs are separated by commas or newlines)"
	case alike:
		return problem + " (did you mean " + near + "?)"
	}
	return problem
}

// textImages reads name=image pairs. Empty lines and superfluous commas are ignored.
func textImages(text string) (pairs []imagePair, wrong mistakes) {
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		entry = strings.TrimSpace(entry)
		server, image, ok := strings.Cut(entry, "=")
		switch {
		case ok:
			pairs = append(pairs, imagePair{strings.TrimSpace(server), strings.TrimSpace(image)})
		case entry != "":
			wrong.add(entry, "is no server with its image: give db-1=123, separated by commas or newlines, or a JSON object")
		}
	}
	return pairs, wrong
}

// jsonImages reads a JSON object by its tokens: a map would hide a name that is given twice.
func jsonImages(text string) (pairs []imagePair, wrong mistakes) {
	if !json.Valid([]byte(text)) {
		wrong.add(text, `is no JSON object of images: give one as {"db-1": 123, "db-2": "latest"}`)
		return nil, wrong
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	_, _ = decoder.Token() // the brace; what is valid can be read
	for decoder.More() {
		name, _ := decoder.Token()
		var value any
		_ = decoder.Decode(&value)
		server, _ := name.(string)
		switch value := value.(type) {
		case string:
			pairs = append(pairs, imagePair{server, value})
		case json.Number:
			pairs = append(pairs, imagePair{server, value.String()})
		default:
			wrong.add(server, "has a value that is no number and no string: "+imageRule)
		}
	}
	return pairs, wrong
}

// chooseImage reads an image, and returns false where it is none.
func chooseImage(text string) (ImageChoice, bool) {
	if newest := Newest(text); newest == Latest || newest == LatestVerified {
		return ImageChoice{Newest: newest}, true
	}
	id, err := strconv.ParseInt(text, 10, 64)
	return ImageChoice{ID: id}, err == nil && id > 0 && strconv.FormatInt(id, 10) == text // no plus, no leading zero
}

// checkName returns what is wrong with the name of a server, "" if nothing is. Whether there is one of that name is
// Hetzner's to say.
func checkName(name string) string {
	switch {
	case strings.ContainsAny(name, `*?[]^\`):
		return "is no name of a server: globs are not accepted here, name each server"
	case checkEntry(name) != "":
		return "is no name of a server: give db-1=123, without comments, quotation marks, or dashes before it"
	}
	return ""
}
