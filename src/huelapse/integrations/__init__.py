"""Callbacks for trainings that others run; each file needs the library it is named after."""
