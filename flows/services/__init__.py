"""The servers and workers of a team, as `docker/compose.yaml` names them."""
