# The worker image: Debian 12, PostgreSQL clients and servers of every major version, the agent and its unit.
#
#   packer init ami/haulier-worker.pkr.hcl
#   packer build -var region=eu-central-1 -var agent=target/release/haulier-worker \
#     -var rds_bundle_sha256=<digest> ami/haulier-worker.pkr.hcl
#
# Costs one small instance for some minutes, and the snapshot behind the image for as long as the image is kept.

packer {
  required_version = ">= 1.9.0"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
  }
}

variable "region" {
  type        = string
  description = "Region to build in."
}

variable "copy_to_regions" {
  type        = list(string)
  default     = []
  description = "Regions that get a copy of the image."
}

variable "architecture" {
  type        = string
  default     = "amd64"
  description = "Debian's name of the architecture: amd64 or arm64. The agent must be built for it."
  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "The architecture must be amd64 or arm64."
  }
}

variable "instance_type" {
  type        = string
  default     = ""
  description = "Instance type of the build; by default t3.small or t4g.small, as the architecture demands."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "Subnet of the build; by default one of the default VPC's."
}

variable "agent" {
  type        = string
  description = "Path of the haulier-worker binary."
}

variable "version" {
  type        = string
  default     = "0.1.0"
  description = "Version of the agent, for the image's name and tags."
}

variable "rds_bundle_sha256" {
  type        = string
  description = "SHA-256 digest of Amazon's global-bundle.pem, taken from a copy that you have checked."
  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.rds_bundle_sha256))
    error_message = "The digest must be 64 lower-case hexadecimal digits."
  }
}

variable "postgresql_source" {
  type        = string
  default     = "pgdg"
  description = "Where the PostgreSQL clients and servers come from: pgdg (all supported major versions) or debian (one)."
  validation {
    condition     = contains(["pgdg", "debian"], var.postgresql_source)
    error_message = "The source must be pgdg or debian."
  }
}

locals {
  built = formatdate("YYYYMMDDhhmmss", timestamp())
  tags = {
    "haulier:component" = "worker"
    "haulier:version"   = var.version
    "haulier:built"     = local.built
  }
}

source "amazon-ebs" "worker" {
  region        = var.region
  ami_regions   = var.copy_to_regions
  instance_type = var.instance_type != "" ? var.instance_type : (var.architecture == "arm64" ? "t4g.small" : "t3.small")
  subnet_id     = var.subnet_id != "" ? var.subnet_id : null
  ssh_username  = "admin"

  ssh_clear_authorized_keys = true
  temporary_key_pair_type   = "ed25519"

  ami_name        = "haulier-worker-${var.version}-${var.architecture}-${local.built}"
  ami_description = "Haulier worker ${var.version}"
  imds_support    = "v2.0"
  ena_support     = true
  encrypt_boot    = true

  source_ami_filter {
    # Debian's own account.
    owners      = ["136693071363"]
    most_recent = true
    filters = {
      name                = "debian-12-${var.architecture}-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 8
    throughput            = 125
    iops                  = 3000
    delete_on_termination = true
  }

  tags          = local.tags
  snapshot_tags = local.tags
  run_tags      = local.tags
}

build {
  sources = ["source.amazon-ebs.worker"]

  provisioner "shell" {
    inline = ["mkdir -p /tmp/haulier"]
  }

  provisioner "file" {
    sources = [
      "${path.root}/boot",
      "${path.root}/power-off",
      "${path.root}/haulier-worker.service",
      "${path.root}/provision.sh",
    ]
    destination = "/tmp/haulier/"
  }

  provisioner "file" {
    source      = var.agent
    destination = "/tmp/haulier/haulier-worker"
  }

  provisioner "shell" {
    environment_vars = [
      "RDS_BUNDLE_SHA256=${var.rds_bundle_sha256}",
      "POSTGRESQL_SOURCE=${var.postgresql_source}",
    ]
    execute_command = "sudo env {{ .Vars }} bash {{ .Path }}"
    inline          = ["bash /tmp/haulier/provision.sh /tmp/haulier"]
    inline_shebang  = "/bin/bash -eu"
  }
}
