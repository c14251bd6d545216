package hcloudsim

import (
	"net/http"
	"slices"
)

func (c *call) listImages() reply {
	q := &c.query
	sel := q.selector()
	kind := q.oneOf("type", "system", "app", "snapshot", "backup")
	status := q.oneOf("status", "available", "creating", "unavailable")
	architecture := q.oneOf("architecture", "x86", "arm")
	q.oneOf("include_deprecated", "true", "false")
	deprecatedToo := q.values.Get("include_deprecated") == "true"
	boundTo := q.ids("bound_to")
	name := q.values.Get("name")
	images := slices.DeleteFunc(c.p.sortedImages(), func(img *image) bool {
		bound := img.Type == "backup" && slices.Contains(boundTo, img.ServerID)
		if img.deprecated() && !deprecatedToo || img.withdrawn(c.p.now) {
			return true
		}
		return name != "" && img.Name != name || boundTo != nil && !bound ||
			!kind(img.Type) || !status(img.Status) || !architecture(img.Architecture) || !sel.matches(img.Labels)
	})
	sortBy(q, images, orders[*image]{
		"id":      by(func(img *image) int64 { return img.ID }),
		"name":    by(func(img *image) string { return img.Name }),
		"created": func(a, b *image) int { return a.Created.Compare(b.Created) },
	})
	return list(c, "images", images, (*image).show)
}

func (c *call) getImage() reply {
	img := c.p.images[c.id]
	if img == nil {
		return notFound("image", c.id)
	}
	return answer(http.StatusOK, map[string]any{"image": img.show()})
}

func (c *call) updateImage() reply {
	img := c.p.images[c.id]
	if img == nil {
		return notFound("image", c.id)
	}
	b, refusal := c.payload("description", "type", "labels")
	if refusal != nil {
		return *refusal
	}
	description, kind, labels := b.text("description"), b.text("type"), b.labels()
	if kind != nil && *kind != "snapshot" {
		b.errs.add("type", "must be snapshot")
	}
	if b.errs != nil {
		return invalid(b.errs)
	}
	if !img.own() {
		return refuse(http.StatusUnprocessableEntity, "unsupported_error", "image cannot be changed")
	}
	if description != nil {
		img.Description = *description
	}
	if kind != nil {
		img.Type = *kind
	}
	if labels != nil {
		img.Labels = labels
	}
	return answer(http.StatusOK, map[string]any{"image": img.show()})
}

func (c *call) deleteImage() reply {
	img := c.p.images[c.id]
	switch {
	case img == nil:
		return notFound("image", c.id)
	case !img.own():
		return refuse(http.StatusUnprocessableEntity, "unsupported_error", "image cannot be deleted")
	case img.Protected:
		return refuse(http.StatusLocked, "protected", "image deletion is protected")
	}
	delete(c.p.images, img.ID)
	return answer(http.StatusNoContent, nil)
}

func (c *call) changeProtection() reply {
	img := c.p.images[c.id]
	if img == nil {
		return notFound("image", c.id)
	}
	b, refusal := c.payload("delete")
	if refusal != nil {
		return *refusal
	}
	protect := b.boolean("delete")
	if b.errs != nil {
		return invalid(b.errs)
	}
	if img.Type != "snapshot" {
		return refuse(http.StatusUnprocessableEntity, "unsupported_error", "only snapshots can be protected")
	}
	if protect != nil {
		img.Protected = *protect
	}
	a := c.p.start(c.p.newActionID(), "change_protection", "image", img.ID, 0)
	c.p.end(a, "", "")
	return answer(http.StatusCreated, map[string]any{"action": c.showAction(a)})
}
