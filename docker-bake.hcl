# `docker buildx bake` builds every image for every platform, from a fresh clone.
#
# Each variable is taken from the environment. An engine that keeps images of one platform only
# (Docker without the containerd image store) builds one at a time:
#   docker buildx bake --set '*.platform=linux/arm64' --load
# and to publish:
#   REGISTRY=registry.example.org/me TAG=1.0 docker buildx bake --push

variable "REGISTRY" { default = "actionproxy" }
variable "TAG" { default = "latest" }
variable "VERSION" { default = "0.1.0" }
variable "REVISION" { default = "" }
# The images that everything starts from.
variable "RUST_IMAGE" { default = "docker.io/library/rust:1.95-bookworm" }
variable "DEBIAN_IMAGE" { default = "docker.io/library/debian:bookworm-slim" }

group "default" {
  targets = ["proxy", "skeleton", "example-c"]
}

target "common" {
  context    = "."
  dockerfile = "Dockerfile.multiarch"
  platforms  = ["linux/amd64", "linux/arm64", "linux/s390x"]
  args = {
    RUST_IMAGE   = RUST_IMAGE
    DEBIAN_IMAGE = DEBIAN_IMAGE
    VERSION      = VERSION
    REVISION     = REVISION
  }
}

# target/images/linux_amd64/actionproxy and so on. `scripts/dist --with docker` uses it.
target "binary" {
  inherits = ["common"]
  target   = "binary"
  output   = ["type=local,dest=target/images"]
}

target "proxy" {
  inherits = ["common"]
  target   = "proxy"
  tags     = ["${REGISTRY}/proxy:${TAG}"]
}

target "skeleton" {
  inherits = ["common"]
  target   = "skeleton"
  tags     = ["${REGISTRY}/skeleton:${TAG}"]
}

target "example-c" {
  inherits = ["common"]
  target   = "example-c"
  tags     = ["${REGISTRY}/example-c:${TAG}"]
}
