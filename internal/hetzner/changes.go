package hetzner

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

// NewImage describes the snapshot to create.
type NewImage struct {
	Description string
	Labels      map[string]string
}

// CreateImage creates a snapshot of a server. On success both IDs are above zero; any error is an [*Error] whose Verdict
// says what is known about the snapshot.
func (c *Client) CreateImage(ctx context.Context, server int64, image NewImage) (imageID, actionID int64, quota Quota, err error) {
	body, answer, err := send[schema.ServerActionCreateImageResponse](ctx, c, http.MethodPost,
		fmt.Sprintf("/servers/%d/actions/create_image", server), schema.ServerActionCreateImageRequest{
			Type: new("snapshot"), Description: &image.Description, Labels: &image.Labels,
		})
	err = answer.check(err, body.Image.ID > 0 && body.Action.ID > 0, "the answer names no image or no action")
	if err != nil {
		return 0, 0, answer.quota, err
	}
	return body.Image.ID, body.Action.ID, answer.quota, nil
}

// Shutdown sends a server's guest the ACPI signal. The action's success means no more than that: only the server's
// status says when it is off, if ever.
func (c *Client) Shutdown(ctx context.Context, server int64) (actionID int64, quota Quota, err error) {
	return c.act(ctx, http.MethodPost, fmt.Sprintf("/servers/%d/actions/shutdown", server), nil)
}

// PowerOff powers a server off without asking its guest.
func (c *Client) PowerOff(ctx context.Context, server int64) (actionID int64, quota Quota, err error) {
	return c.act(ctx, http.MethodPost, fmt.Sprintf("/servers/%d/actions/poweroff", server), nil)
}

// PowerOn switches a server on.
func (c *Client) PowerOn(ctx context.Context, server int64) (actionID int64, quota Quota, err error) {
	return c.act(ctx, http.MethodPost, fmt.Sprintf("/servers/%d/actions/poweron", server), nil)
}

// Protect sets delete protection on an image.
func (c *Client) Protect(ctx context.Context, image int64) (actionID int64, quota Quota, err error) {
	return c.act(ctx, http.MethodPost, fmt.Sprintf("/images/%d/actions/change_protection", image),
		schema.ImageActionChangeProtectionRequest{Delete: new(true)})
}

// Rebuild writes a server's disk anew from an image. Password reports that the answer held a new root password, which ends
// here.
func (c *Client) Rebuild(ctx context.Context, server, image int64) (actionID int64, password bool, quota Quota, err error) {
	body, answer, err := send[schema.ServerActionRebuildResponse](ctx, c, http.MethodPost, fmt.Sprintf("/servers/%d/actions/rebuild", server), schema.ServerActionRebuildRequest{
		Image: schema.IDOrName{Name: strconv.FormatInt(image, 10)}, // a string, as the API describes it
	})
	err = answer.check(err, body.Action.ID > 0, "the answer names no action")
	return body.Action.ID, valueOf(body.RootPassword) != "", answer.quota, err
}

// act sends a request that is answered by an action. On success its ID is above zero.
func (c *Client) act(ctx context.Context, method, path string, request any) (actionID int64, quota Quota, err error) {
	body, answer, err := send[schema.ActionGetResponse](ctx, c, method, path, request)
	return body.Action.ID, answer.quota, answer.check(err, body.Action.ID > 0, "the answer names no action")
}

// remove deletes what Hetzner deletes at once, without an action.
func (c *Client) remove(ctx context.Context, path string) (Quota, error) {
	_, answer, err := send[bytes.Buffer](ctx, c, http.MethodDelete, path, nil)
	status := answer.exchange.Status
	return answer.quota, answer.check(err, status == http.StatusNoContent, "unexpected HTTP status %d", status)
}

// SetLabels replaces all labels of an image.
func (c *Client) SetLabels(ctx context.Context, image int64, labels map[string]string) (Quota, error) {
	body, answer, err := send[schema.ImageGetResponse](ctx, c, http.MethodPut, fmt.Sprintf("/images/%d", image),
		schema.ImageUpdateRequest{Labels: &labels})
	return answer.quota, answer.check(err, body.Image.ID == image, "the answer does not hold image %d", image)
}

// DeleteImage deletes an image. One that does not exist is an [*Error] with the code not_found.
func (c *Client) DeleteImage(ctx context.Context, image int64) (Quota, error) {
	return c.remove(ctx, fmt.Sprintf("/images/%d", image))
}

// Self returns the ID of the server that this program runs on; 0 when it runs elsewhere, or when Hetzner's metadata service
// does not answer within a second. It sends no token.
func (c *Client) Self(ctx context.Context) int64 {
	id, err := c.metadata.InstanceIDWithContext(ctx)
	if err != nil {
		return 0
	}
	return max(id, 0)
}
