package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/labels"
)

// pair is a key and its value: a string or, in JSON, whatever stands there.
type pair struct {
	key   string
	value any
}

// pairs reads key=value entries separated by commas or newlines, of which empty ones are ignored, or a JSON object. NoPair
// and noObject say what is wrong where there is none. An object is read by its tokens: a map would hide a key that is given
// twice.
func pairs(text, noPair, noObject string) (all []pair, wrong error) {
	if !strings.HasPrefix(text, "{") {
		for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(",\r\n", r) }) {
			key, value, whole := strings.Cut(entry, "=")
			if key = strings.TrimSpace(key); whole {
				all = append(all, pair{key, strings.TrimSpace(value)})
			} else if key != "" {
				wrong = errors.Join(wrong, refuse(key, "%s", noPair))
			}
		}
		return all, wrong
	}
	if !json.Valid([]byte(text)) {
		return nil, refuse(text, "%s", noObject)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	_, _ = decoder.Token() // the brace; what is valid can be read
	for decoder.More() {
		var entry pair
		key, _ := decoder.Token()
		entry.key, _ = key.(string)
		_ = decoder.Decode(&entry.value)
		all = append(all, entry)
	}
	return all, nil
}

// nameRule is Hetzner's rule for the names in labels, in the words of its mistakes.
const nameRule = "give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends"

// Labels are the labels to put on each snapshot, by key.
type Labels map[string]string

// EnvDecode accepts key=value pairs separated by commas or newlines, or a JSON object of strings. Labels that Hetzner
// would refuse are refused here: a server may be off by the time Hetzner sees them.
func (l *Labels) EnvDecode(value string) error {
	all, wrong := pairs(value, "is no label: give key=value, separated by commas or newlines, or a JSON object of strings",
		`is no JSON object of strings: give one as {"env": "prod"}`)
	list := Labels{}
	for _, entry := range all {
		if _, twice := list[entry.key]; twice {
			wrong = errors.Join(wrong, refuse(entry.key, "is given twice: each label key can have one value"))
			continue
		}
		text, isText := entry.value.(string)
		if !isText {
			wrong = errors.Join(wrong, refuse(entry.key, "has a value that is no string: put it in quotation marks"))
		}
		list[entry.key] = text
	}
	for _, key := range slices.Sorted(maps.Keys(list)) {
		if !validKey(key) {
			wrong = errors.Join(wrong, refuse(key, "is no label key: "+nameRule+", perhaps after a DNS name and a slash"))
		}
		if labels.Reserved(key) {
			wrong = errors.Join(wrong, refuse(key, "is reserved: keys under hsnap/ and hetzner.cloud/ can't be set"))
		}
		if value := list[key]; value != "" && !validName(value, "-_.") {
			wrong = errors.Join(wrong, refuse(value, "is no label value: "+nameRule+", or nothing"))
		}
	}
	*l = list
	return wrong
}

// Series names a series of snapshots.
type Series string

// EnvDecode accepts a label value, since a label holds the series.
func (s *Series) EnvDecode(value string) error {
	if !validName(value, "-_.") {
		return refuse(value, "is no name of a series: "+nameRule)
	}
	*s = Series(value)
	return nil
}

// validKey applies Hetzner's rule for label keys.
func validKey(key string) bool {
	prefix, name, ok := strings.Cut(key, "/")
	if !ok {
		return validName(key, "-_.")
	}
	for label := range strings.SplitSeq(prefix, ".") {
		if !validName(label, "-") {
			return false
		}
	}
	return len(prefix) <= 253 && validName(name, "-_.")
}

// validName reports whether s has 1 to 63 letters and digits, with the punctuation given among them but not at the
// ends.
func validName(s, punctuation string) bool {
	strange := func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune(punctuation, r) }
	return s != "" && len(s) <= 63 && strings.Trim(s, punctuation) == s && !strings.ContainsFunc(s, strange)
}

// Images says which image is meant for each server, by the server's name.
type Images map[string]ImageChoice

// ImageChoice says which of a server's snapshots is meant.
type ImageChoice struct {
	Image          int64 // its ID, 0 for the newest one in the series that did not fail its verification
	OnlyIfVerified bool  // of those that passed it
}

// imageRule says which images are accepted, in the words of the mistakes.
const imageRule = "accepted are an image's ID, latest and latest-verified"

// EnvDecode accepts name=image pairs separated by commas or newlines, or a JSON object whose values are numbers or
// strings. A server's disk may be overwritten for what stands here, so nothing is guessed: the server is a name, even if it
// has digits only, and an ID is written as Hetzner writes it.
func (i *Images) EnvDecode(value string) error {
	all, wrong := pairs(value, "is no server with its image: give db-1=123, separated by commas or newlines, or a JSON object",
		`is no JSON object of images: give one as {"db-1": 123, "db-2": "latest"}`)
	if len(all) == 0 && wrong == nil {
		wrong = refuse(value, "names no server: name each with its image, as db-1=123 or db-1=latest")
	}
	*i = Images{}
	for _, entry := range all {
		server := entry.key
		switch entry.value.(type) {
		case string, json.Number:
		default:
			wrong = errors.Join(wrong, refuse(server, "has a value that is no number and no string: "+imageRule))
			continue
		}
		wrong = errors.Join(wrong, checkName(server))
		if _, twice := (*i)[server]; twice {
			wrong = errors.Join(wrong, refuse(server, "is given twice: a server can have one image here"))
		}
		choice, err := chooseImage(server, fmt.Sprint(entry.value))
		wrong = errors.Join(wrong, err)
		(*i)[server] = choice
	}
	return wrong
}

// chooseImage reads the image of a server.
func chooseImage(server, text string) (ImageChoice, error) {
	if text == "latest" || text == "latest-verified" {
		return ImageChoice{OnlyIfVerified: text != "latest"}, nil
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != text { // no plus, no leading zero
		return ImageChoice{}, refuse(text, "is no image for %.60q: %s", server, imageRule)
	}
	return ImageChoice{Image: id}, nil
}

// checkName returns what is wrong with the name of a server. Whether there is one of that name is Hetzner's to say.
func checkName(name string) error {
	switch {
	case strings.ContainsAny(name, `*?[]^\`):
		return refuse(name, "is no name of a server: globs are not accepted here, name each server")
	case checkEntry(name) != nil:
		return refuse(name, "is no name of a server: give db-1=123, without comments, quotation marks, or dashes before it")
	}
	return nil
}
