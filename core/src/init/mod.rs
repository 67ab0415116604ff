//! Initialisation: decode, unpack, epilogue, build, verify, install.

pub mod checksum;
