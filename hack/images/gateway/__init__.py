"""The image of a gateway pod: Envoy and our agent."""
