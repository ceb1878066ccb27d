"""Version v1alpha1 of the API as pydantic models: the source of the CRDs in crds/."""
