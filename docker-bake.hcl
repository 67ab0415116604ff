# `docker buildx bake` builds every image for every platform, from a fresh clone; `scripts/images`
# does the same with the revision, the times and the digest of the base filled in.
#
# `docker buildx bake runtimes` builds the example runtimes: under emulation that takes long.
#
# Each variable is taken from the environment. An engine that keeps images of one platform only
# (Docker without the containerd image store) builds one at a time:
#   docker buildx bake --set '*.platform=linux/arm64' --load
# and to publish:
#   REGISTRY=registry.example.org/me TAG=1.0 SOURCE=https://example.org/me/actionproxy scripts/images --push

variable "REGISTRY" { default = "actionproxy" }
variable "TAG" { default = "latest" }
variable "VERSION" { default = "0.1.0" }
variable "REVISION" { default = "unknown" }
# Seconds since 1970: the times in the images. Without it, those of the build.
variable "SOURCE_DATE_EPOCH" { default = "" }
# The same time as RFC 3339 writes it, for the label.
variable "CREATED" { default = "" }
# Where the sources are published. Without it, the labels that name it are left out.
variable "SOURCE" { default = "" }
# The images that everything starts from, and what labels call the second.
variable "RUST_IMAGE" { default = "docker.io/library/rust:1.95-trixie" }
variable "DEBIAN_IMAGE" { default = "docker.io/library/debian:trixie-slim" }
variable "BASE_NAME" { default = DEBIAN_IMAGE }
variable "BASE_DIGEST" { default = "" }

group "default" {
  targets = ["proxy", "skeleton", "example-c"]
}

target "common" {
  context    = "."
  dockerfile = "Dockerfile.multiarch"
  args = {
    RUST_IMAGE        = RUST_IMAGE
    DEBIAN_IMAGE      = DEBIAN_IMAGE
    BASE_NAME         = BASE_NAME
    VERSION           = VERSION
    REVISION          = REVISION
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH != "" ? SOURCE_DATE_EPOCH : null
  }
  labels = {
    "org.opencontainers.image.created"       = CREATED != "" ? CREATED : null
    "org.opencontainers.image.source"        = SOURCE != "" ? SOURCE : null
    "org.opencontainers.image.url"           = SOURCE != "" ? SOURCE : null
    "org.opencontainers.image.documentation" = SOURCE != "" ? "${SOURCE}#readme" : null
  }
}

# Platforms of what needs no base image: every architecture of scripts/architectures.sh.
target "everywhere" {
  inherits = ["common"]
  platforms = [
    "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x", "linux/ppc64le", "linux/riscv64", "linux/386",
    "linux/loong64",
  ]
}

# Platforms that Debian publishes a base image for.
target "debian" {
  inherits = ["common"]
  platforms = [
    "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x", "linux/ppc64le", "linux/riscv64", "linux/386",
  ]
  labels = {
    "org.opencontainers.image.base.digest" = BASE_DIGEST != "" ? BASE_DIGEST : null
  }
}

# target/images/linux_amd64/actionproxy and so on. `scripts/dist --with docker` uses it.
target "binary" {
  inherits = ["everywhere"]
  target   = "binary"
  output   = ["type=local,dest=target/images"]
}

# target/images-mqtt/linux_amd64/actionproxy-mqtt and so on, for `scripts/dist --mqtt --with docker`.
target "mqtt" {
  inherits = ["everywhere"]
  target   = "mqtt"
  output   = ["type=local,dest=target/images-mqtt"]
}

target "proxy" {
  inherits = ["everywhere"]
  target   = "proxy"
  tags     = ["${REGISTRY}/proxy:${TAG}"]
}

target "skeleton" {
  inherits = ["debian"]
  target   = "skeleton"
  tags     = ["${REGISTRY}/skeleton:${TAG}"]
}

target "example-c" {
  inherits = ["debian"]
  target   = "example-c"
  tags     = ["${REGISTRY}/example-c:${TAG}"]
}

# The example runtimes, each from the directory that a person copies. Their Dockerfiles name the images
# that they stand on as anybody would; here those are the ones of this build.
group "runtimes" {
  targets = ["runtime"]
}

target "runtime" {
  name       = "runtime-${language}"
  matrix     = { language = ["c", "go", "python"] }
  inherits   = ["debian"]
  context    = "runtimes/${language}"
  dockerfile = "Dockerfile"
  contexts = {
    "actionproxy/proxy"  = "target:proxy"
    "debian:trixie-slim" = "docker-image://${DEBIAN_IMAGE}"
  }
  labels = {
    "org.opencontainers.image.title"       = "actionproxy-runtime-${language}"
    "org.opencontainers.image.description" = "A runtime of OpenWhisk actions, to use and to copy: ${language}"
    "org.opencontainers.image.licenses"    = "Apache-2.0"
    "org.opencontainers.image.vendor"      = "actionproxy"
    "org.opencontainers.image.version"     = VERSION
    "org.opencontainers.image.revision"    = REVISION != "" ? REVISION : "unknown"
    "org.opencontainers.image.base.name"   = BASE_NAME
  }
  tags = ["${REGISTRY}/runtime-${language}:${TAG}"]
}

# What lists the contents of the others, for `scripts/images`: on the machine that builds.
target "sbom-generator" {
  context    = "scripts/sbom-generator"
  contexts   = { "actionproxy/skeleton" = "target:skeleton" }
  args       = { SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH != "" ? SOURCE_DATE_EPOCH : null }
}
