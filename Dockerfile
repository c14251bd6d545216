# The image that the action runs as: one static binary and the CA certificates, no shell.
# The runner needs root and its own working directory, so neither USER nor WORKDIR is set.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY internal ./internal
ARG VERSION=dev
# Without inlining the image is a seventh smaller; the program spends its life waiting for answers.
RUN CGO_ENABLED=0 go build -trimpath -gcflags=all=-l -ldflags "-s -w -X main.version=${VERSION}" -o /hsnap-action .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /hsnap-action /hsnap-action
ENTRYPOINT ["/hsnap-action"]
