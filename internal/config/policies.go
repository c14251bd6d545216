package config

import (
	"slices"
	"strings"
)

// NoServersPolicy is the input if-no-servers-found.
type NoServersPolicy string

// What to do when the selector or a glob matches nothing.
const (
	NoServersError  NoServersPolicy = "error"
	NoServersWarn   NoServersPolicy = "warn"
	NoServersIgnore NoServersPolicy = "ignore"
)

// EnvDecode accepts the constants.
func (p *NoServersPolicy) EnvDecode(value string) error {
	return choose(p, value, NoServersError, NoServersWarn, NoServersIgnore)
}

// VolumesPolicy is the input if-volumes-attached.
type VolumesPolicy string

// What to do about a server with attached volumes.
const (
	VolumesWarn   VolumesPolicy = "warn"
	VolumesFail   VolumesPolicy = "fail" // before anything is done
	VolumesIgnore VolumesPolicy = "ignore"
)

// EnvDecode accepts the constants.
func (p *VolumesPolicy) EnvDecode(value string) error {
	return choose(p, value, VolumesWarn, VolumesFail, VolumesIgnore)
}

// LockedPolicy is the input if-locked.
type LockedPolicy string

// What to do about a server that is locked.
const (
	LockedWait LockedPolicy = "wait" // for Config.LockTimeout at most
	LockedSkip LockedPolicy = "skip"
	LockedFail LockedPolicy = "fail"
)

// EnvDecode accepts the constants.
func (p *LockedPolicy) EnvDecode(value string) error {
	return choose(p, value, LockedWait, LockedSkip, LockedFail)
}

// ShutdownPolicy is the input shutdown.
type ShutdownPolicy string

// Whether and how to switch a server off around its snapshot.
const (
	ShutdownNever    ShutdownPolicy = "never"
	ShutdownGraceful ShutdownPolicy = "graceful"
	ShutdownForce    ShutdownPolicy = "force"
)

// EnvDecode accepts the constants.
func (p *ShutdownPolicy) EnvDecode(value string) error {
	return choose(p, value, ShutdownNever, ShutdownGraceful, ShutdownForce)
}

// RerunPolicy is the input on-rerun.
type RerunPolicy string

// What a later attempt of a workflow run does where an earlier one succeeded.
const (
	RerunSnapshot RerunPolicy = "snapshot" // once more
	RerunReuse    RerunPolicy = "reuse"    // what the earlier attempt made
)

// EnvDecode accepts the constants.
func (p *RerunPolicy) EnvDecode(value string) error {
	return choose(p, value, RerunSnapshot, RerunReuse)
}

// choose sets *policy to the value if it is one of those accepted.
func choose[P ~string](policy *P, value string, accepted ...P) error {
	if slices.Contains(accepted, P(value)) {
		*policy = P(value)
		return nil
	}
	names := make([]string, len(accepted))
	for i, a := range accepted {
		names[i] = string(a)
	}
	last := len(names) - 1
	return refuse(value, "is not accepted: use "+strings.Join(names[:last], ", ")+" or "+names[last])
}
