"""What an artefact is: its network's specification, its card, its score map, and where its files lie."""
