"""Run faults through the real command, and look at what is left afterwards: the library behind the tests here."""
