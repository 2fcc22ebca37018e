"""Error-versus-discard curves: how recognition errors fall as the worst faces are left out."""
