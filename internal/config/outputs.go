package config

// Output is one output of the action.
type Output struct {
	Name  string // as in action.yml: image-ids
	Prose string // what users read about it
}

// Outputs returns the outputs in the order in which users read about them. Like the inputs they are rendered into
// action.yml, README.md and --help.
func Outputs() []Output {
	return []Output{
		{"image-id", "The ID of the image, when exactly one server was selected and it has a usable snapshot, else empty."},
		{"images", "A JSON object that maps each server's name to the ID of its usable snapshot, for `fromJSON(steps.snap.outputs.images)['db-1']`."},
		{"image-ids", "A JSON array of the IDs of the usable snapshots, in the order of the servers' names. Usable is what is available or, with `wait: false`, accepted."},
		{"snapshots", "A JSON array with an object for each server: `server_id`, `server_name`, `status`, `reason`, `message`, `image_id`, `action_id`, `description`, `size_gb`, `lock_wait_seconds`, `duration_seconds`, `downtime_seconds`, `power_state`, `protected`, `reused` and `volumes_not_included`."},
		{"result", "`success` (every snapshot is usable, some servers perhaps skipped as asked), `partial` (some are usable, some failed), `failure` (some failed, none is usable), `skipped` (none failed, none was made) or `cancelled`."},
		{"created-count", "The number of usable snapshots."},
		{"failed-count", "The number of entries that failed."},
		{"skipped-count", "The number of servers that were skipped."},
		{"failed-servers", "A JSON array of the names of the servers that failed."},
		{"servers-left-off", "A JSON array of the names of the servers that this action switched off and could not see running again."},
		{"deleted-image-ids", "A JSON array of the IDs of the snapshots that were deleted."},
	}
}
