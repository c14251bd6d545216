# The image that the action runs as: one static binary and the CA certificates, no shell.
# The runner needs root and its own working directory, so neither USER nor WORKDIR is set.
# At the tag of a release the base image is named by the digest that the release was built from.

# The compiler runs on the machine's own platform and cross-compiles, so that nothing is emulated. Builders without
# BuildKit do not set the variable, and build for the machine itself.
ARG HOST_PLATFORM=${BUILDPLATFORM:-linux}
# The base of the debug image: an image with a shell. .ci/tools/busybox names the one that is published.
ARG DEBUG_BASE=scratch

FROM --platform=${HOST_PLATFORM} golang:1.27 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY internal ./internal
ARG VERSION=dev
ARG TARGETARCH
# Without inlining the image is a seventh smaller; the program spends its life waiting for answers. The second
# implementation of encoding/json, new in Go 1.27, would add 150 KB for nothing, and is not the one that the tests use.
# The post step runs it by its second name.
RUN mkdir /out && ln -s hsnap-action /out/hsnap-post && CGO_ENABLED=0 GOARCH=${TARGETARCH} \
    GOEXPERIMENT=nojsonv2 go build -trimpath -gcflags=all=-l -ldflags "-s -w -X main.version=${VERSION}" -o /out/hsnap-action .

# GitLab runs a job's script in a shell: docker build --target debug --build-arg DEBUG_BASE=busybox:1.37.0 .
FROM ${DEBUG_BASE} AS debug
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/hsnap-action"]

FROM scratch AS final
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
ENTRYPOINT ["/hsnap-action"]
