package config

// Output is one output of a command.
type Output struct {
	Name  string // as in action.yml: image-ids
	Prose string // what users read about it
}

// Like the inputs the outputs below are rendered, see the package documentation.

// Outputs implements [Settings].
func (*Snapshot) Outputs() []Output {
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

// Outputs implements [Settings].
func (*Restore) Outputs() []Output {
	return []Output{
		{"result", "`success` (every server is put back and proved or, with `dry-run`, could be), `partial` (some are, some are not), `failure` (none is) or `cancelled`."},
		{"restored", "A JSON object that maps the name of each server that was put back to the ID of its image."},
		{"restores", "A JSON array with an object for each server: `server_id`, `server_name`, `status`, `reason`, `message`, `image_id`, `image_age_seconds`, `before_image_id`, `action_id`, `downtime_seconds` and `proof`."},
		{"restored-count", "The number of servers that were put back."},
		{"failed-count", "The number of servers that failed."},
		{"failed-servers", "A JSON array of the names of the servers that failed."},
	}
}

// Outputs implements [Settings].
func (*Verify) Outputs() []Output {
	return []Output{
		{"result", "`success` (every snapshot that was due is verified or, with `dry-run`, could be), `partial` (some are, some failed or are inconclusive), `failure` (some failed, none is verified), `inconclusive` (nothing can be told about those that were due), `skipped` (every server was skipped) or `cancelled`."},
		{"verifications", "A JSON array with an object for each server: `server_name`, `image_id`, `status`, `reason`, `message`, `proof`, `server_type`, `create_seconds`, `boot_seconds` and `cost_gross`."},
		{"verified-image-ids", "A JSON array of the IDs of the snapshots that were verified."},
		{"failed-image-ids", "A JSON array of the IDs of the snapshots that failed."},
		{"copies-left", "A JSON array of the names of the copies that could not be deleted. They cost money until they are."},
		{"cost-gross", "What all copies together cost, with VAT, in the currency of the account."},
	}
}

// Outputs implements [Settings].
func (*Prune) Outputs() []Output {
	return []Output{
		{"result", "`success` (whatever no rule keeps is deleted), `partial` (some deletions or servers failed), `failure` (something failed, nothing is deleted) or `cancelled`."},
		{"deleted-image-ids", "A JSON array of the IDs of the snapshots that were deleted."},
		{"kept-image-ids", "A JSON array of the IDs of the snapshots in the series that were kept. Protected ones, and those still being created, are never deleted and are no part of it."},
		{"failed-count", "The number of deletions and servers that failed."},
	}
}

// Outputs implements [Settings].
func (*Audit) Outputs() []Output {
	return []Output{
		{"result", "`success` (nothing was found that `fail-on` names), `failure` or `cancelled`."},
		{"inventory", "A JSON array with an object for each server: `server_id`, `server_name`, `newest_image_id`, `newest_created`, `age_seconds`, `count`, `size_gb`, `stale`, `verified` and `verified_at`."},
		{"stale-servers", "A JSON array of the names of the servers whose newest snapshot is older than `stale-after`, or that have none."},
		{"unverified-servers", "A JSON array of the names of the servers without a verified snapshot."},
		{"orphan-image-ids", "A JSON array of the IDs of the snapshots whose server is gone."},
		{"foreign-image-ids", "A JSON array of the IDs of the snapshots that this action did not make."},
		{"snapshot-count", "The number of snapshots that this action made, those whose server is gone included."},
		{"size-gb", "The size of these snapshots in GB."},
		{"monthly-price-net", "What these snapshots cost a month, without VAT."},
		{"monthly-price-gross", "What these snapshots cost a month, with VAT."},
		{"currency", "The currency of the prices, as `EUR`."},
	}
}
