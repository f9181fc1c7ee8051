"""The four wire formats. Each package exports `DIALECT`; none imports another."""
