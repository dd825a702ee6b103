"""Where images come from: releases, folders and archives, read one picture at a time."""
