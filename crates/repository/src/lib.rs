//! The deduplicating, compressing, encrypting repository.
