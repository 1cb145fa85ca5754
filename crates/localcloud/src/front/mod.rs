//! One port that answers as every AWS service does.

mod s3_handler;

pub use s3_handler::S3Handler;
