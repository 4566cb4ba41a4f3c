"""Pictures and pages made from the records that the stages leave."""
