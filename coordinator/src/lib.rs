//! The control plane of Haulier.
