//! The serverless platforms wire contracts.
