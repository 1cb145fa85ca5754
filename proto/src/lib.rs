//! Wire messages of Haulier and their conversion to domain types.
