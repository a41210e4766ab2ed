"""What a person sees: pages of widgets that compute nothing themselves."""
