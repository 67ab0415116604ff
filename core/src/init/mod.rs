//! Initialisation: decode, unpack, epilogue, build, verify, install.

pub mod checksum;
pub mod decode;
pub mod install;
pub mod unpack;
