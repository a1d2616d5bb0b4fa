"""What turns pixels or text into text; the only place where the errors of such libraries become ours."""
